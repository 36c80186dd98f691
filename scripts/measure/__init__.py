"""What the scripts that measure share: processes on cores, the proxies that are compared, loads, tables."""
