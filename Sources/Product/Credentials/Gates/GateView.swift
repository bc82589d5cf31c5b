import Basics
import Evidence
import Web

/// A gate as the API shows it.
public struct GateView: Codable, Sendable, Equatable {
  /// `open`, or what keeps it shut.
  public enum State: String, Codable, Sendable, CaseIterable {
    case open
    case unsigned
    case altered
    case untrusted
    case selfSigned = "self-signed"
    case revoked
    case expired
    /// It was asked for in another deployment.
    case foreign
  }

  public let id: GateID
  public let org: Slug
  public let state: State
  /// `sha256:…` of the request: what the signed statement is about.
  public let digest: String
  /// What an approver signs, whole: the file for `aw gate sign`.
  public let request: GateRequest
  /// Which keys the envelope names: hints, of which `state` says what they are worth.
  public let signedBy: [String]?
  public let submittedAt: Timestamp?
  public let revocation: GateRecord.Revocation?

  init(_ standing: GateStanding) throws {
    let (record, request) = (standing.record, standing.record.request)
    (id, org, self.request) = (request.id, request.slug, request)
    digest = "sha256:" + (try request.digest)
    signedBy = record.submission.map { $0.envelope.signatures.map(\.keyid) }
    (submittedAt, revocation) = (record.submission?.at, record.revocation)
    state =
      switch standing.refusal {
      case nil: .open
      case .unsigned: .unsigned
      case .altered: .altered
      case .untrusted: .untrusted
      case .selfSigned: .selfSigned
      case .revoked: .revoked
      case .expired: .expired
      case .missing, .outOfScope: .foreign
      }
  }

  static let requestSchema = JSONSchema.object([
    "id": JSONSchema.id, "deployment": JSONSchema.text, "org": JSONSchema.id, "slug": JSONSchema.slug,
    "surfaces": JSONSchema.array(of: CredentialView.surfaceSchema),
    "class": JSONSchema.oneOf(GatedClass.allCases.map(\.rawValue)), "until": JSONSchema.time,
    "reason": JSONSchema.text, "requester": JSONSchema.slug, "requestedBy": JSONSchema.text,
    "requestedAt": JSONSchema.time,
  ])

  static let envelopeSchema = JSONSchema.object([
    "payloadType": JSONSchema.text, "payload": JSONSchema.text,
    "signatures": JSONSchema.array(of: JSONSchema.object(["keyid": JSONSchema.text, "sig": JSONSchema.text])),
  ])

  static let schema = JSONSchema.object(
    [
      "id": JSONSchema.id, "org": JSONSchema.slug, "state": JSONSchema.oneOf(State.allCases.map(\.rawValue)),
      "digest": JSONSchema.text, "request": requestSchema, "signedBy": JSONSchema.array(of: JSONSchema.text),
      "submittedAt": JSONSchema.time,
      "revocation": JSONSchema.object([
        "by": JSONSchema.text, "at": JSONSchema.time, "reason": JSONSchema.text,
      ]),
    ], optional: ["signedBy", "submittedAt", "revocation"])
}
