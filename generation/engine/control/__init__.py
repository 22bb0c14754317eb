"""ControlNets: loaded once for all models, run beside a forward on the rows that have one."""
