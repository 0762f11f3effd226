"""ReturnGO: the returns platform where customers ask, labels are made and goods are inspected."""
