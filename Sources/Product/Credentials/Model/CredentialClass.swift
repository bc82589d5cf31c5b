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
}

/// A signed decision that lets one Org hold credentials of a class, for named surfaces, until a date.
///
/// It has no value: this release can open no gate. Whatever needs one cannot be made, and the compiler knows.
public enum CredentialGate: Sendable, Equatable {}

/// A reference to a value that can authenticate nowhere.
public struct FixtureSecretRef: Sendable, Equatable {
  public let ref: SecretRef
  init(_ ref: SecretRef) { self.ref = ref }
}

/// A reference to a key of a controlled environment that is nobody's production.
public struct NonProductionSecretRef: Sendable, Equatable {
  public let ref: SecretRef
  public let gate: CredentialGate
  init(_ ref: SecretRef, allowedBy gate: CredentialGate) { (self.ref, self.gate) = (ref, gate) }
}

/// A reference to a customer's own key.
public struct RealSecretRef: Sendable, Equatable {
  public let ref: SecretRef
  public let gate: CredentialGate
  init(_ ref: SecretRef, allowedBy gate: CredentialGate) { (self.ref, self.gate) = (ref, gate) }
}

/// A reference with its class. There is no initialiser from one class to another.
public enum CredentialRef: Sendable, Equatable {
  case fixture(FixtureSecretRef)
  case controlledNonProduction(NonProductionSecretRef)
  case real(RealSecretRef)

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
