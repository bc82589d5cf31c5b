import Basics
import Crypto
import Evidence

/// What a signed decision says: that a gate passed, or failed, on one packet, and by which evidence.
///
/// The members follow SLSA's verification summary (VSA v1); what AW needs beside them comes after.
public struct DecisionClaim: Codable, Sendable, Equatable {
  public struct Verifier: Codable, Sendable, Equatable {
    public let id: String
  }

  public struct Policy: Codable, Sendable, Equatable {
    public let uri: String
    /// `sha256`, in lower-case hexadecimal.
    public let digest: [String: String]
  }

  public struct Input: Codable, Sendable, Equatable {
    public let uri: String
    /// `sha256`, in lower-case hexadecimal.
    public let digest: [String: String]

    public init(uri: String, sha256: String) { (self.uri, digest) = (uri, ["sha256": sha256]) }
  }

  public enum Result: String, Codable, Sendable, CaseIterable {
    case passed = "PASSED"
    case failed = "FAILED"
  }

  public let verifier: Verifier
  public let timeVerified: Timestamp
  public let resourceUri: String
  public let policy: Policy
  public let inputAttestations: [Input]
  public let verificationResult: Result
  /// The deployment that it counts in: a key may be trusted by several.
  public let deployment: String
  public let gate: GateKind
  public let role: ProgrammeRole
  /// From this moment on it allows nothing, unless it was used before.
  public let expires: Timestamp
  /// Whose decision it is: the name of one of the keys that sign it, and the agent's run if one judged for a person.
  public let author: Author
  public let note: String

  public init(
    on packet: Packet, gate: GateKind, deployment: String, result: Result, by author: Author, evidence: [Input],
    note: String, at now: Timestamp, expires: Timestamp
  ) {
    verifier = Verifier(id: "urn:aw:key:\(author.account)")
    (timeVerified, resourceUri) = (now, Self.uri(packet.sequence))
    policy = packet.policy
    (inputAttestations, verificationResult, self.deployment) = (evidence, result, deployment)
    (self.gate, role, self.expires, self.author, self.note) = (gate, gate.role, expires, author, note)
  }

  static func uri(_ sequence: Slug) -> String { "urn:aw:packet:\(sequence)" }

  /// The kind of statement that a decision is.
  public static let predicateType = "urn:aw:programme-decision:v1"

  /// What is signed.
  public func statement(on digest: PacketDigest, of sequence: Slug) throws -> Statement {
    Statement(
      subject: [.init(name: "packet/\(sequence)", sha256: digest.hex)], predicateType: Self.predicateType,
      predicate: try JSONValue(encoding: self))
  }
}

extension Packet {
  /// By which rules its gates are decided: a decision binds to them, too.
  public var policy: DecisionClaim.Policy {
    struct Rules: Encodable {
      let version = 1
      let order = GateKind.allCases
      let gates: [RequiredGate]
    }
    return .init(
      uri: "urn:aw:programme-policy:v1", digest: ["sha256": PacketDigest(of: Rules(gates: gates)).hex])
  }
}

/// A decision as it was handed in: nothing but its envelope counts.
public struct Decision: Codable, Sendable, Equatable {
  public let envelope: Envelope

  public init(envelope: Envelope) { self.envelope = envelope }

  /// SHA-256 over the signed bytes, `sha256:` and lower-case hexadecimal. More signatures change nothing of it.
  public var id: String { "sha256:" + SHA256.hex(envelope.document ?? []) }

  /// The sequence that it is about; nil when it is no decision.
  public var sequence: Slug? { said?.sequence }

  /// What it says; nil when it is no decision, or says more than a decision can.
  var said: (claim: DecisionClaim, digest: PacketDigest, sequence: Slug)? {
    guard envelope.payloadType == Envelope.statementType, let bytes = envelope.document,
      let statement = try? JSONValue(parsing: bytes).decode(Statement.self),
      let claim = try? statement.predicate.decode(DecisionClaim.self), let subject = statement.subject.first,
      let digest = PacketDigest("sha256:" + (subject.digest["sha256"] ?? "")), subject.name.hasPrefix("packet/"),
      let sequence = try? Slug(String(subject.name.dropFirst("packet/".count))),
      // Made anew and compared whole: type, digest and every member.
      let expected = try? claim.statement(on: digest, of: sequence).bytes, expected == bytes
    else { return nil }
    return (claim, digest, sequence)
  }
}
