import Basics

/// What a validation of one version of a credential found.
public struct Validation: Codable, Sendable, Equatable {
  public enum Outcome: String, Codable, Sendable, CaseIterable {
    /// The vendor let it in, and refused a corrupted copy.
    case valid
    /// The vendor says that it is not good.
    case invalid
    /// Nothing is proven, neither way.
    case indeterminate
  }

  public let version: Int
  public let outcome: Outcome
  /// Why, for people; nothing of the value is in it.
  public let reason: String
  /// Whom it belongs to at the vendor; of a vendor that does not say, the fingerprint stands for it.
  public let identity: String?
  public let at: Timestamp

  /// How long a valid one counts.
  public static let freshFor = Duration.seconds(30 * 86_400)

  public var freshUntil: Timestamp? { outcome == .valid ? at.advanced(by: Self.freshFor) : nil }
}

/// From what was seen to an outcome.
enum ValidationVerdict {
  /// - Parameters:
  ///   - control: what the vendor said to a copy with one character changed; nil when it was not asked, because the
  ///     real value was not let in.
  static func outcome(
    of real: VendorCheck.Reading, control: VendorCheck.Reading?
  ) -> (outcome: Validation.Outcome, reason: String) {
    switch (real, control) {
    case (.refused(let word), _): (.invalid, "the vendor refuses it: \(word)")
    case (.unclear(let why), _): (.indeterminate, why)
    case (.accepted, .refused?): (.valid, "the vendor let it in and refused a corrupted copy")
    case (.accepted, .accepted?):
      (.indeterminate, "the endpoint does not check: it let a corrupted copy in too")
    case (.accepted, .unclear(let why)?): (.indeterminate, "a corrupted copy could not be tried: \(why)")
    case (.accepted, nil): (.indeterminate, "a corrupted copy was not tried")
    }
  }

  /// The value with its last letter or digit changed into another of its kind, so that it keeps its form. Nil when it
  /// has none.
  static func corrupted(_ value: Secret) -> Secret? {
    value.withBytes { bytes in
      guard let place = bytes.lastIndex(where: { isAlphanumeric($0) }) else { return nil }
      var changed = bytes
      changed[place] = next(bytes[place])
      return Secret(bytes: changed)
    }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool { next(byte) != byte }

  private static func next(_ byte: UInt8) -> UInt8 {
    switch byte {
    case UInt8(ascii: "9"): UInt8(ascii: "0")
    case UInt8(ascii: "z"): UInt8(ascii: "a")
    case UInt8(ascii: "Z"): UInt8(ascii: "A")
    // Hexadecimal stays hexadecimal.
    case UInt8(ascii: "f"): UInt8(ascii: "e")
    case UInt8(ascii: "F"): UInt8(ascii: "E")
    case UInt8(ascii: "0")...UInt8(ascii: "8"), UInt8(ascii: "a")...UInt8(ascii: "y"),
      UInt8(ascii: "A")...UInt8(ascii: "Y"):
      byte + 1
    default: byte
    }
  }
}

/// How a credential stands now, with whatever another Org has.
public enum CredentialStatus: String, Codable, Sendable, CaseIterable {
  /// Nobody has validated this version yet.
  case present
  case valid
  case invalid
  case indeterminate
  case expired
  /// Nobody can be asked about such a one: it has the right form, and that is all that is known.
  case shapeOnly = "shape-only"
  /// Another Org has a credential of the same identity: both are blocked until one of them has another.
  case shared
  /// No gate allows this class for it now: it is not used.
  case gateClosed = "gate-closed"
  /// The one-time link that brought it was used a second time.
  case frozen

  /// - Parameters:
  ///   - isShared: another Org's present credential for the same surface proved the same identity.
  ///   - isOpen: a gate allows it now; of fixtures, which need none, always.
  ///   - isFrozen: somebody used its one-time link twice.
  static func of(
    _ credential: Credential, isShared: Bool, isOpen: Bool = true, isFrozen: Bool = false, at now: Timestamp
  ) -> CredentialStatus {
    guard isOpen else { return .gateClosed }
    if isFrozen { return .frozen }
    guard credential.surface.vendor != nil else { return isShared ? .shared : .shapeOnly }
    guard let validation = credential.lastValidated, validation.version == credential.version else { return .present }
    switch validation.outcome {
    case .invalid: return .invalid
    case .indeterminate: return .indeterminate
    case .valid:
      if isShared { return .shared }
      guard let freshUntil = validation.freshUntil, now < freshUntil else { return .expired }
      return .valid
    }
  }
}
