import Access
import Basics
import OpenClaw

/// How serious a credential is.
///
/// The three classes have a type of their own each, and no way leads from one to another: see `CredentialRef`.
public enum CredentialClass: String, Codable, Sendable, CaseIterable {
  case fixture
  case controlledNonProduction = "controlled-non-production"
  case real

  /// - Throws: `usage` with the words that there are.
  init(named name: String) throws(AWError) {
    guard let known = CredentialClass(rawValue: name) else {
      throw AWError(
        .usage, "There is no class of credentials \(name.quoted).",
        next: "Use one of: \(CredentialClass.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    self = known
  }

  /// What setting one reaches beyond a synthetic fleet.
  var scopes: Set<ActScope> {
    switch self {
    case .fixture: []
    case .controlledNonProduction: [.nonProductionCredential]
    case .real: [.realCredential]
    }
  }
}

/// A reference to a value that can authenticate nowhere.
public struct FixtureSecretRef: Sendable, Equatable {
  public let ref: SecretRef
  init(_ ref: SecretRef) { self.ref = ref }
}

/// A reference to a key of a controlled environment that is nobody's production.
public struct NonProductionSecretRef: Sendable, Equatable {
  public let ref: SecretRef
  /// The gate under which it was set. Whether one is open now is asked at each use.
  public let gate: GateID
  fileprivate init(_ ref: SecretRef, _ gate: GateID) { (self.ref, self.gate) = (ref, gate) }
}

/// A reference to a customer's own key.
public struct RealSecretRef: Sendable, Equatable {
  public let ref: SecretRef
  /// The gate under which it was set. Whether one is open now is asked at each use.
  public let gate: GateID
  fileprivate init(_ ref: SecretRef, _ gate: GateID) { (self.ref, self.gate) = (ref, gate) }
}

/// A reference with its class. There is no initialiser from one class to another.
public enum CredentialRef: Sendable, Equatable {
  case fixture(FixtureSecretRef)
  case controlledNonProduction(NonProductionSecretRef)
  case real(RealSecretRef)

  /// The only way to a reference of a class that needs a gate, but for what the database holds.
  static func new(_ ref: SecretRef, allowedBy gate: CredentialGate) -> CredentialRef {
    switch gate.class {
    case .controlledNonProduction: .controlledNonProduction(NonProductionSecretRef(ref, gate.id))
    case .real: .real(RealSecretRef(ref, gate.id))
    }
  }

  /// What the database holds. It opens nothing: whatever uses the value asks for a gate first.
  static func kept(_ ref: SecretRef, _ kind: CredentialClass, gate: GateID?) -> CredentialRef? {
    switch (kind, gate) {
    case (.fixture, nil): .fixture(FixtureSecretRef(ref))
    case (.controlledNonProduction, let gate?): .controlledNonProduction(NonProductionSecretRef(ref, gate))
    case (.real, let gate?): .real(RealSecretRef(ref, gate))
    default: nil
    }
  }

  /// The gate under which it was set; nil for fixtures.
  public var gate: GateID? {
    switch self {
    case .fixture: nil
    case .controlledNonProduction(let controlled): controlled.gate
    case .real(let real): real.gate
    }
  }

  public var ref: SecretRef {
    switch self {
    case .fixture(let fixture): fixture.ref
    case .controlledNonProduction(let controlled): controlled.ref
    case .real(let real): real.ref
    }
  }

  public var kind: CredentialClass {
    switch self {
    case .fixture: .fixture
    case .controlledNonProduction: .controlledNonProduction
    case .real: .real
    }
  }
}
