"""The loop: observe, plan, execute. It holds no opinion (the planner's) and speaks no HTTP (the engine's)."""
