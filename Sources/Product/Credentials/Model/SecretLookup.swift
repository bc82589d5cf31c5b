import Basics
import Fleet
import OpenClaw

/// What the ids mean that an Instance asks for: a pure decision over the credentials of its own Org.
enum SecretLookup {
  enum Finding: Equatable, Sendable {
    case own(Credential)
    /// Nobody's, as far as this Org can know.
    case absent
    /// Of another Org, whether that has such a credential or not. Whoever asks is told the same as for `absent`.
    case foreign
  }

  /// `orgs/acme/models.providers.openai.apiKey#v3`: the version that counts, or one beside it.
  static func finding(for id: String, of org: Slug, among credentials: [Credential]) -> Finding {
    if let credential = credentials.first(where: { $0.reference.ref.id == id }) { return .own(credential) }
    let parts = id.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "orgs", parts[1] != org.text else { return .absent }
    return .foreign
  }
}
