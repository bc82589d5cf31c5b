import Basics

/// How far a handoff is.
enum HandoffStage: String, Sendable, CaseIterable {
  /// There is nothing to hand over yet.
  case waiting = "not yet"
  /// Verified, and no document was made of it.
  case open = "not made"
  /// A document is out, and AW does not have both signatures.
  case exported = "not signed by both"
  case complete
  /// There is a document, but of an earlier desired state.
  case outdated = "of an earlier desired state"

  /// - Parameter desired: the digest of the desired state as it is now.
  static func of(_ mark: HandoffMark?, desired: String, _ state: OnboardingState) -> HandoffStage {
    guard let mark else { return state == .verified ? .open : .waiting }
    guard mark.desired == desired else { return .outdated }
    return mark.completedAt == nil ? .exported : .complete
  }
}
