"""Trains heads, the diffusion view's attention, for a frozen Qwen2 or Qwen3 model."""
