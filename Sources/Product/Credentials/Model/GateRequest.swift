import Basics
import Crypto
import Evidence
import Fleet

public enum GateTag {}
public typealias GateID = ID<GateTag>

/// A class of credentials that needs a gate.
public enum GatedClass: String, Codable, Sendable, CaseIterable {
  case controlledNonProduction = "controlled-non-production"
  case real

  var credentialClass: CredentialClass {
    switch self {
    case .controlledNonProduction: .controlledNonProduction
    case .real: .real
    }
  }
}

extension CredentialClass {
  /// Nil for fixtures, which need none.
  var gated: GatedClass? { GatedClass(rawValue: rawValue) }
}

/// What an approver signs: that one Org of one deployment may hold credentials of one class, for named surfaces, until
/// a date.
public struct GateRequest: Codable, Sendable, Equatable {
  public let id: GateID
  /// The deployment that it counts in; signed along, because an approver may be trusted by several.
  public let deployment: String
  public let org: OrgID
  public let slug: Slug
  /// In alphabetical order, none twice.
  public let surfaces: [CredentialSurface]
  public let `class`: GatedClass
  /// From this moment on it allows nothing.
  public let until: Timestamp
  public let reason: String
  /// The login name of whoever asked: no signature by a key of this name counts.
  public let requester: Slug
  /// As evidence names them.
  public let requestedBy: String
  public let requestedAt: Timestamp

  /// The kind of statement that approves it.
  public static let predicateType = "urn:aw:credential-gate:v1"

  /// SHA-256 over the canonical JSON, in lower-case hexadecimal.
  public var digest: String {
    get throws { SHA256.hex(Array(try JSONValue(encoding: self).canonical.utf8)) }
  }

  /// The statement that an approver signs.
  public var statement: Statement {
    get throws {
      Statement(
        subject: [.init(name: "gate/\(id)", sha256: try digest)], predicateType: Self.predicateType,
        predicate: try JSONValue(encoding: self))
    }
  }

  /// - Throws: `usage` for anything that no approver should be asked to sign.
  static func checked(
    surfaces names: [String], class name: String, until: Timestamp, reason: String, at now: Timestamp
  ) throws(AWError) -> (surfaces: [CredentialSurface], class: GatedClass, reason: String) {
    guard let kind = GatedClass(rawValue: name) else {
      throw AWError(
        .usage, "No gate opens the class \(name.quoted).",
        next: "Use one of: \(GatedClass.allCases.map(\.rawValue).joined(separator: ", ")). Fixtures need none.")
    }
    var surfaces: [CredentialSurface] = []
    for name in names { surfaces.append(try CredentialSurface(named: name)) }
    guard !surfaces.isEmpty, Set(surfaces).count == surfaces.count else {
      throw AWError(
        .usage, "A gate names one surface or more, each once.",
        next: "Name them: --surface models.providers.openai.apiKey …")
    }
    guard now < until, until.since(now) <= GateLimits.openFor else {
      throw AWError(
        .usage, "A gate ends within \(GateLimits.openFor.words), and not in the past: \(until) is neither.",
        next: "Choose an earlier end; ask for another gate when it is over.")
    }
    let isPlain = !reason.unicodeScalars.contains { $0.properties.generalCategory == .control }
    guard (1...GateLimits.reasonCharactersMax).contains(reason.count), isPlain else {
      throw AWError(
        .usage, "A reason has 1 to \(GateLimits.reasonCharactersMax) characters, none of them a control character.",
        next: "Say in one line why the Org needs it.")
    }
    return (surfaces.sorted { $0.rawValue < $1.rawValue }, kind, reason)
  }
}

/// A gate as the database keeps it.
public struct GateRecord: Codable, Sendable, Equatable {
  public struct Submission: Codable, Sendable, Equatable {
    public let envelope: Envelope
    public let by: String
    public let at: Timestamp
  }

  public struct Revocation: Codable, Sendable, Equatable {
    public let by: String
    public let at: Timestamp
    public let reason: String
  }

  public let request: GateRequest
  public var submission: Submission?
  public var revocation: Revocation?

  init(request: GateRequest, submission: Submission? = nil, revocation: Revocation? = nil) {
    (self.request, self.submission, self.revocation) = (request, submission, revocation)
  }
}

/// The limits of gates.
public enum GateLimits {
  /// From the request to the end: a decision about a customer's keys is taken anew every quarter.
  public static let openFor = Duration.seconds(90 * 86_400)
  public static let reasonCharactersMax = 200
  /// Of gates of one Org that are looked at, the newest ones.
  public static let perOrgMax = 200
  /// Of approvers that a deployment trusts.
  public static let approversMax = 64
}
