"""ResourceQuota: what objects use (usage), which quotas hold for them (scopes), the plugin that charges and the recount."""
