"""The core: log, sampler, cohorts, sessions and broadcaster, without any server or socket."""
