std = "lua51"
globals = { "redis", "cmsgpack", "KEYS", "ARGV" }
-- Of library.lua no script uses all.
ignore = { "211" }
