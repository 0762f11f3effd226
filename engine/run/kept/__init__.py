"""What a store holds, looked back on: whether it is whole, what it tells of a case, what it need not keep."""
