"""More than one machine: shards of a plan as the jobs of a cluster, and their runs joined into one."""
