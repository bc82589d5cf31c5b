import Basics

/// What is said of a value before it is kept: a pure decision. Nothing that it returns holds any of the value.
enum CredentialIntake {
  enum Verdict: Equatable, Sendable {
    /// A fixture of this surface.
    case fixture
    /// A fixture of another surface.
    case fixtureOf(CredentialSurface)
    /// It has the form of what this vendor gives out, so it may open something.
    case looksReal(CredentialSurface)
    case empty
    case tooLong
    case unknown
  }

  static func verdict(on value: Secret, for surface: CredentialSurface) -> Verdict {
    value.withText { text in
      if text.isEmpty { return .empty }
      if text.utf8.count > CredentialLimits.valueBytesMax { return .tooLong }
      if FixtureValue.name(in: text, of: surface) != nil { return .fixture }
      let others = CredentialSurface.allCases
      if let other = others.first(where: { FixtureValue.name(in: text, of: $0) != nil }) { return .fixtureOf(other) }
      return surface.formed(text).map { .looksReal($0) } ?? .unknown
    }
  }

  /// Why a value cannot be kept as a fixture; nil when it can.
  static func refusal(of verdict: Verdict, for surface: CredentialSurface) -> AWError? {
    let make = "Make a fixture: 'aw credential fixture \(surface.rawValue) NAME'."
    switch verdict {
    case .fixture: return nil
    case .fixtureOf(let other):
      return AWError(
        .credentialShape, "The value is a fixture of \(other.title), not of \(surface.title).", next: make)
    case .looksReal(let vendor):
      return AWError(
        .credentialNotFixture,
        "The value looks like a real \(vendor.title), and only fixtures may be kept. It was not kept and is not shown.",
        next: "\(make) If the value is a real one, replace it at the vendor: it has travelled to this control plane.")
    case .empty: return AWError(.credentialShape, "The value is empty.", next: make)
    case .tooLong:
      return AWError(
        .credentialShape, "The value is longer than \(CredentialLimits.valueBytesMax) bytes.", next: make)
    case .unknown:
      return AWError(.credentialShape, "The value does not have the form of a fixture of \(surface.title).", next: make)
    }
  }

  /// Why a value cannot be kept under a gate; nil when it can. Nothing about it is proven by that: it has the form of
  /// what the vendor gives out.
  static func gatedRefusal(of value: Secret, for surface: CredentialSurface) -> AWError? {
    let verdict = verdict(on: value, for: surface)
    let isMarked = value.withText { $0.contains(FixtureValue.mark) }
    return switch verdict {
    case .looksReal(surface) where !isMarked: nil
    // A damaged fixture is one too: no vendor is to be asked about it.
    case .fixture, .fixtureOf,
      .looksReal(_) where isMarked, .unknown where isMarked:
      AWError(
        .credentialShape,
        "The value is a test value that opens nothing, and one that the vendor gave out is asked for.",
        next: "Set it as a fixture, or give the vendor's own value.")
    case .empty, .tooLong: refusal(of: verdict, for: surface)
    case .looksReal(let other):
      AWError(
        .credentialShape, "The value has the form of \(other.title), not of \(surface.title). It was not kept.",
        next: "Give the value that belongs to this surface.")
    case .unknown:
      AWError(
        .credentialShape, "The value does not have the form of \(surface.title). It was not kept and is not shown.",
        next: "Copy it anew from the vendor.")
    }
  }
}
