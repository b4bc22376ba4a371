"""How often the rule of `compare` raises false alarms, and what it finds: samples collected, rules scored."""
