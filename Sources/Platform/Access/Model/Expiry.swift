import Basics

/// Whether a one-time link can be used: a pure decision.
enum LinkDecision: Hashable {
  case usable
  case refused(String)

  static func decide(usedAt: Timestamp?, expiresAt: Timestamp, at now: Timestamp) -> LinkDecision {
    if usedAt != nil { return .refused("The link was used already, or a newer one was made.") }
    if now >= expiresAt { return .refused("The link has expired.") }
    return .usable
  }
}

/// Whether a session is still one: a pure decision.
enum SessionDecision: Hashable {
  case live
  case ended(String)

  static func decide(
    createdAt: Timestamp, seenAt: Timestamp, revokedAt: Timestamp?, at now: Timestamp, limits: AccessLimits
  ) -> SessionDecision {
    if revokedAt != nil { return .ended("The session was ended.") }
    if now >= createdAt.advanced(by: limits.sessionAbsolute) { return .ended("The session has reached its full age.") }
    if now >= seenAt.advanced(by: limits.sessionIdle) { return .ended("The session was not used for too long.") }
    return .live
  }
}

/// What a token counts as, given the operator behind it: a pure decision.
enum TokenDecision {
  static func standing(
    role: OperatorRole, expiresAt: Timestamp, isRevoked: Bool, creator: OperatorRole, creatorState: OperatorState,
    at now: Timestamp
  ) -> Standing {
    if isRevoked { return .none("The token was revoked.") }
    if now >= expiresAt { return .none("The token has expired.") }
    guard creatorState == .active else { return .none("The operator who made the token is not active.") }
    // The creator may have lost rights since.
    return .token(role.isWithin(creator) ? role : creator)
  }
}
