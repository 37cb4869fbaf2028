"""Warm starts: a process that has imported what a job's notebooks import, and forks their kernels.

    keeper ─┬─ bwrap ── bwrap (pid 1 of the box)
            └─ doorkeeper ── warm parent (in the box) ── guard ── kernel of one run

`program` is the warm parent; it runs in the job's environment and imports nothing of ours. `keeper`
holds warm parents, outlives the runs, and gives a runner a kernel that was forked ahead; `lease` is
what the runner has of it. A runner that gets none starts its kernel cold.
"""
