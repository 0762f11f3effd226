"""Decision tables, as DMN 1.5 means them: from YAML to an index, its outcome over gaps, and what can be proved about the rows."""
