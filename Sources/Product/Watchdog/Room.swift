enum WatchdogRoom {}
