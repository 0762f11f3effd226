"""A closed loop: the engine as in production, in a world of customers, agents, carriers, a warehouse, systems and people."""
