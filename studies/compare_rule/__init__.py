"""How often the rule of `compare` raises false alarms, and what it finds: processes collected, rules scored."""
