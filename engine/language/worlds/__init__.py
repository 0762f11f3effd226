"""World files: customers, agents, carriers, a warehouse, systems and people, as a simulation meets them."""
