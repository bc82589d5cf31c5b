import Basics
import SwiftASN1
import X509

/// The authorities that one control plane trusts, and the one of them that signs. Two are trusted while one takes over
/// from the other.
public struct Authorities: Sendable {
  public let signer: Authority
  /// PEM, the one that signs first.
  public let trusted: [String]
  let certificates: [Certificate]
  /// Of those that are trusted.
  public let fingerprints: Set<String>
  /// Of the one that signs.
  public let fingerprint: String

  public init(signer: Authority, trustingAlso others: [Authority] = []) throws {
    let all = [signer] + others
    self.signer = signer
    trusted = try all.map { try $0.certificatePEM }
    certificates = all.map(\.certificate)
    fingerprint = try signer.fingerprint
    fingerprints = Set(try all.map { try $0.fingerprint })
  }

  /// Signs a Host's request; the bundle holds every authority that is trusted.
  ///
  /// - Throws: when the request is not valid PEM or its own signature does not hold.
  public func signHost(_ host: HostID, request: String, at now: Timestamp) throws -> CertificateBundle {
    var bundle = try signer.signHost(host, request: request, at: now)
    bundle.authorities = trusted
    return bundle
  }

  /// Which of them signed a certificate; nil when none did.
  public func issuer(of certificate: Certificate) -> String? {
    CertificateIdentity.issuer(of: certificate, among: certificates)
  }

  public var order: TrustOrder { TrustOrder(authorities: trusted, signer: fingerprint) }

  /// What a connection needs to be as these authorities want it: a pure decision.
  ///
  /// - Parameters:
  ///   - report: what its Connector told last; nil for one that knows nothing of such orders.
  ///   - shown: the authority of the certificate that the connection was made with.
  public func step(for report: TrustReport?, shown: String) -> TrustStep {
    guard fingerprints.contains(shown) else { return .end }
    guard let report else { return .settled }
    guard Set(report.authorities) == fingerprints, report.issuer == fingerprint else { return .order }
    return shown == fingerprint ? .settled : .refresh
  }
}

/// What is to be done about a connection, see `Authorities.step`.
public enum TrustStep: Sendable, Equatable {
  case settled
  /// Tell its Connector what to trust.
  case order
  /// Ask for another connection in its place: its Connector has the certificate for one.
  case refresh
  /// It was made with a certificate that is not trusted any more.
  case end
}

/// Which authorities a Connector is to trust, and which of them its certificate is to come from.
public struct TrustOrder: Codable, Sendable, Equatable {
  /// PEM.
  public var authorities: [String]
  /// A fingerprint.
  public var signer: String

  public init(authorities: [String], signer: String) {
    self.authorities = authorities
    self.signer = signer
  }
}

/// What a Connector has made its own of such an order; all by fingerprint.
public struct TrustReport: Codable, Sendable, Equatable {
  /// Sorted.
  public var authorities: [String]
  /// The authority that its certificate is from; nil when it is none of them.
  public var issuer: String?

  public init(authorities: [String], issuer: String?) {
    self.authorities = authorities.sorted()
    self.issuer = issuer
  }

  public init(of bundle: CertificateBundle) throws {
    let authorities = try bundle.authorities.map { try Certificate(pemEncoded: $0) }
    self.init(
      authorities: try authorities.map { try CertificateIdentity.fingerprint(of: $0) },
      issuer: CertificateIdentity.issuer(of: try Certificate(pemEncoded: bundle.certificate), among: authorities))
  }
}
