"""EasyPost: what carriers saw of a parcel."""
