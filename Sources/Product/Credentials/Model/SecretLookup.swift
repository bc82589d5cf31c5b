import Basics
import Fleet
import Link
import OpenClaw

/// What the ids mean that an Instance asks for: a pure decision over the credentials of its own Org.
struct SecretLookup {
  enum Finding: Equatable, Sendable {
    case own(Credential)
    /// Of its own Gateway.
    case gatewayToken
    /// Nobody's, as far as this Org can know.
    case absent
    /// Of another Org, whether that has such a credential or not. Whoever asks is told the same as for `absent`.
    case foreign
  }

  let org: Slug
  let instance: InstanceID
  /// The Instances of the Org.
  let siblings: Set<InstanceID>
  let credentials: [Credential]

  /// `orgs/acme/models.providers.openai.apiKey#v3`: the version that counts, or one beside it. Of what is an Instance's
  /// own only the token of its Gateway, and only its own.
  func finding(for id: String) -> Finding {
    if let named = InstanceSecretID.instance(of: id) {
      if id == InstanceSecretID.gatewayToken(of: instance) { return .gatewayToken }
      return named == instance || siblings.contains(named) ? .absent : .foreign
    }
    if let credential = credentials.first(where: { $0.reference.ref.id == id }) { return .own(credential) }
    let parts = id.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "orgs", parts[1] != org.text else { return .absent }
    return .foreign
  }
}
