"""The instrument: measures feature upsamplers and tells what it saw."""
