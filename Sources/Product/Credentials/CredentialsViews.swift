import Basics
import OpenClaw
import Web

/// A credential as the API shows it: everything but the value, which has no member here.
public struct CredentialView: Codable, Sendable, Equatable {
  public let org: Slug
  public let surface: CredentialSurface
  public let title: String
  public let `class`: CredentialClass
  public let version: Int
  public let reference: SecretRef
  public let vault: String
  public let key: String
  /// What belongs to the value and is no secret, by its key in OpenClaw's configuration.
  public let settings: [String: String]
  public let fingerprint: String
  public let setBy: String
  public let setAt: Timestamp
  public let lastResolved: Credential.Resolution?
  /// Of this version or of an earlier one: it says which.
  public let lastValidated: Validation?
  public let status: CredentialStatus
  /// The other Orgs whose credential proved the same identity.
  public let sharedWith: [Slug]

  init(_ standing: CredentialStanding, org: Slug) {
    let credential = standing.credential
    (status, sharedWith, lastValidated) = (standing.status, standing.sharedWith, credential.lastValidated)
    self.org = org
    (surface, title) = (credential.surface, credential.surface.title)
    (`class`, reference) = (credential.reference.kind, credential.reference.ref)
    (version, vault, key) = (credential.version, credential.place.vault, credential.place.key)
    (fingerprint, setBy, setAt) = (credential.fingerprint, credential.setBy, credential.setAt)
    (lastResolved, settings) = (credential.lastResolved, credential.settings)
  }

  static let surfaceSchema = JSONSchema.oneOf(CredentialSurface.allCases.map(\.rawValue))
  static let settingsSchema: JSONValue = ["type": "object", "additionalProperties": JSONSchema.text]
  static let classSchema = JSONSchema.oneOf(CredentialClass.allCases.map(\.rawValue))

  static let schema = JSONSchema.object(
    [
      "org": JSONSchema.slug, "surface": surfaceSchema, "title": JSONSchema.text, "class": classSchema,
      "version": JSONSchema.integer,
      "reference": JSONSchema.object([
        "source": JSONSchema.oneOf(SecretRef.Source.allCases.map(\.rawValue)), "provider": JSONSchema.text,
        "id": JSONSchema.text,
      ]), "vault": JSONSchema.text, "key": JSONSchema.text, "settings": settingsSchema,
      "fingerprint": JSONSchema.text, "setBy": JSONSchema.text,
      "setAt": JSONSchema.time,
      "lastResolved": JSONSchema.object(["at": JSONSchema.time, "by": JSONSchema.text]),
      "lastValidated": JSONSchema.object(
        [
          "version": JSONSchema.integer, "outcome": JSONSchema.oneOf(Validation.Outcome.allCases.map(\.rawValue)),
          "reason": JSONSchema.text, "identity": JSONSchema.text, "at": JSONSchema.time,
        ], optional: ["identity"]), "status": JSONSchema.oneOf(CredentialStatus.allCases.map(\.rawValue)),
      "sharedWith": JSONSchema.array(of: JSONSchema.slug),
    ], optional: ["lastResolved", "lastValidated"])
}
