"""From a graph to streams, a schedule, a memory plan and a predicted cost."""
