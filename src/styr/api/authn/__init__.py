"""Who asks, by bearer token: ServiceAccount tokens of this server, and tokens of other issuers (OIDC). `serving` calls it
through the Authenticator that `plane` makes; TokenReview and TokenRequest call it too. Never decides what somebody may do."""
