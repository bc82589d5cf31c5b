import Basics
import Fleet

/// A version of a credential beside the one that counts.
struct SpareCredential: Sendable, Equatable {
  enum Phase: String, Sendable, CaseIterable {
    /// Collected, and not in use yet.
    case pending
    /// Was in use before; its value is still there, so that going back is possible.
    case retiring
    /// Nothing needs it; its value is still to leave its vault.
    case removing
    /// Its value is gone. The number stays taken, so that a SecretRef never means another value.
    case forgotten
  }

  var credential: Credential
  var phase: Phase
  /// When it came to this phase.
  var since: Timestamp
  /// Of a pending one that was in use for a while and was taken back: since when.
  var wasUsedSince: Timestamp?
}

/// The steps by which another version of a credential takes the place of the one that counts: a real one that of a
/// fixture, a fresh one that of a worn one. Each may run twice; `RotationSteps` carries them out.
///
/// | step | what | inverse |
/// |---|---|---|
/// | gate | The class is allowed, now. | The new value is forgotten. |
/// | collect | The new value is in its vault, as it was recorded. | The new value is forgotten. |
/// | shadow-validate | The vendor lets it in; nothing uses it yet. | None: nothing was changed. |
/// | switch | It is the one that counts; Instances start anew with it. | The old one counts; they start anew. |
/// | confirm | Their first runs passed, and its identity is the Org's. | None: nothing was changed. |
/// | retire | The old one is dead and forgotten. | None: it is the last, and refuses before it forgets. |
enum RotationStep: String, CaseIterable, Sendable {
  case gate
  case collect
  case shadowValidate = "shadow-validate"
  case `switch`
  case confirm
  case retire
}

/// What a rotation would touch: what its rehearsal says.
public struct BlastRadius: Sendable {
  let surface: CredentialSurface
  let (from, to): (Credential, CredentialClass)
  /// The Instances of the Org that run, and those that do not.
  let (running, resting): ([Slug], [Slug])

  /// What would happen, in order, one sentence each.
  public var sentences: [String] {
    let isTransition = from.reference.kind != to
    let needsGate = to.gated == nil ? "Nothing needs a gate: it is a fixture." : "Check the gate for \(to.rawValue)."
    let owners =
      running.isEmpty
      ? "No Instance of the Org runs: nothing is restarted."
      : "Restart \(running.map(\.text).joined(separator: ", ")), and make the first run of each anew: turns under way "
        + "there are broken off."
    let later = resting.isEmpty ? [] : ["\(resting.map(\.text).joined(separator: ", ")) will have it when started."]
    let retire =
      isTransition
      ? "Look through the database and the Org's values for marks of fixtures, then forget version \(from.version)."
      : "Ask the vendor whether version \(from.version) is refused by now; only then forget it."
    let oneWay =
      from.place.isOwn
      ? "Going back is possible until version \(from.version) is forgotten; then its value is gone from the vault."
      : "Version \(from.version) stays in the vault \(from.place.vault), because AW did not put it there."
    return [
      needsGate, "Keep the new value beside version \(from.version), as pending.",
      "Ask the vendor about it while nothing uses it.", "Let it count.", owners,
    ] + later + ["Confirm the first runs and the identity, or go back to version \(from.version).", retire, oneWay]
  }
}

/// Whether a new version may take the place of an old one, by whom both belong to: pure.
enum RotationIdentity {
  /// - Parameter mayChange: it is to be another account: somebody said so, or a fixture gives way to what is none.
  static func refusal(old: Credential, new: Validation, mayChange: Bool) -> AWError? {
    // What the fingerprint stands for is another with every value.
    guard !mayChange, let before = old.identity, let now = new.identity, !before.hasPrefix("key/"), before != now
    else { return nil }
    return AWError(
      .credentialOtherIdentity, "The new value belongs to another account than the old one: \(now), not \(before).",
      next: "Give a value of the same account, or say that it is to be another: --other-account.")
  }
}
