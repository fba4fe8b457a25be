"""One file per way to reach people; each turns a `base.Notification` into what its peer understands and sends it."""
