import Basics
import Crypto
import Foundation
import NIOSSL
import SwiftASN1
import X509

/// The private authority of one control plane: signs the AW Gateway's certificate and the Hosts' short-lived ones.
public struct Authority: Sendable {
  public static let hostLifetime = Duration.seconds(24 * 3_600)
  public static let gatewayLifetime = Duration.seconds(30 * 24 * 3_600)
  static let authorityLifetime = Duration.seconds(10 * 365 * 24 * 3_600)
  /// Certificates start a little in the past, so that a clock that is minutes off is told by name, not as a bad
  /// certificate.
  static let backdating = Duration.seconds(3_600)

  public let certificate: Certificate
  private let key: Certificate.PrivateKey

  /// Makes a new authority.
  ///
  /// - Returns: the authority and the PEM text of its private key, for the vault.
  public static func make(
    at now: Timestamp, named commonName: String = CertificateIdentity.authorityName
  ) throws -> (authority: Authority, privateKey: Secret) {
    let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
    let name = try DistinguishedName { CommonName(commonName) }
    let validity = validity(from: now, for: authorityLifetime)
    let certificate = try Certificate(
      version: .v3, serialNumber: .init(), publicKey: key.publicKey,
      notValidBefore: validity.begins, notValidAfter: validity.ends,
      issuer: name, subject: name,
      extensions: try Certificate.Extensions {
        Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
        Critical(KeyUsage(keyCertSign: true, cRLSign: true))
        SubjectKeyIdentifier(hash: key.publicKey)
      },
      issuerPrivateKey: key)
    let secret = Secret(try key.serializeAsPEM().pemString)
    return (Authority(certificate: certificate, key: key), secret)
  }

  /// Certificates tell whole seconds, and the library rounds to the nearest: none is to outlive its lifetime by that.
  private static func validity(from now: Timestamp, for lifetime: Duration) -> (begins: Date, ends: Date) {
    let now = now.wholeSecond
    return (now.advanced(by: .zero - backdating).date, now.advanced(by: lifetime).date)
  }

  private init(certificate: Certificate, key: Certificate.PrivateKey) {
    self.certificate = certificate
    self.key = key
  }

  /// Takes up an authority from its certificate and the key that the vault holds.
  public init(certificatePEM: String, privateKey: Secret) throws {
    certificate = try Certificate(pemEncoded: certificatePEM)
    key = try privateKey.withText { try Certificate.PrivateKey(pemEncoded: $0) }
  }

  public var notAfter: Timestamp { Timestamp(certificate.notValidAfter) }

  public var certificatePEM: String {
    get throws { try certificate.serializeAsPEM().pemString }
  }

  /// What an enrolment line pins: the SHA-256 of the certificate, in hexadecimal.
  public var fingerprint: String {
    get throws { try CertificateIdentity.fingerprint(of: certificate) }
  }

  /// A certificate for the AW Gateway, with a key of its own.
  public func gatewayIdentity(at now: Timestamp) throws -> TLSIdentity {
    let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
    let certificate = try leaf(
      publicKey: key.publicKey, name: LinkProtocol.gatewayName, names: [.dnsName(LinkProtocol.gatewayName)],
      usage: .serverAuth, from: now, lifetime: Authority.gatewayLifetime)
    // The authority's own certificate goes along, so that an enrolling machine can find the one it pinned.
    return try TLSIdentity(
      certificatePEM: certificate.serializeAsPEM().pemString, issuers: [certificatePEM], key: key)
  }

  /// Signs a Host's request. Only the key is taken from it; the name is the one AW gave.
  ///
  /// - Throws: when the request is not valid PEM or its own signature does not hold.
  public func signHost(_ host: HostID, request: String, at now: Timestamp) throws -> CertificateBundle {
    let parsed = try CertificateSigningRequest(pemEncoded: request)
    guard parsed.publicKey.isValidSignature(parsed.signature, for: parsed) else {
      throw AWError(
        .enrolmentInvalid, "The certificate request is not signed by its own key.", next: "Enrol the Host again.")
    }
    let certificate = try leaf(
      publicKey: parsed.publicKey, name: host.text,
      names: [.uniformResourceIdentifier(CertificateIdentity.uri(of: host))],
      usage: .clientAuth, from: now, lifetime: Authority.hostLifetime)
    return CertificateBundle(
      certificate: try certificate.serializeAsPEM().pemString, authorities: [try certificatePEM],
      notAfter: Timestamp(certificate.notValidAfter))
  }

  private func leaf(
    publicKey: Certificate.PublicKey, name: String, names: [GeneralName], usage: ExtendedKeyUsage.Usage,
    from now: Timestamp, lifetime: Duration
  ) throws -> Certificate {
    let validity = Authority.validity(from: now, for: lifetime)
    return try Certificate(
      version: .v3, serialNumber: .init(), publicKey: publicKey,
      notValidBefore: validity.begins, notValidAfter: validity.ends,
      issuer: certificate.subject,
      subject: try DistinguishedName { CommonName(name) },
      extensions: try Certificate.Extensions {
        Critical(BasicConstraints.notCertificateAuthority)
        Critical(KeyUsage(digitalSignature: true))
        try ExtendedKeyUsage([usage])
        SubjectAlternativeNames(names)
      },
      issuerPrivateKey: key)
  }
}

/// A certificate chain with its private key, as TLS wants them.
public struct TLSIdentity: Sendable {
  public let certificatePEM: String
  public let notAfter: Timestamp
  private let issuers: [String]
  let key: Certificate.PrivateKey

  init(certificatePEM: String, issuers: [String] = [], key: Certificate.PrivateKey) throws {
    self.certificatePEM = certificatePEM
    self.issuers = issuers
    self.key = key
    notAfter = Timestamp(try Certificate(pemEncoded: certificatePEM).notValidAfter)
  }

  var chain: [NIOSSLCertificateSource] {
    get throws {
      let pem = ([certificatePEM] + issuers).joined(separator: "\n")
      return try NIOSSLCertificate.fromPEMBytes(Array(pem.utf8)).map { .certificate($0) }
    }
  }

  var privateKey: NIOSSLPrivateKeySource {
    get throws {
      .privateKey(try NIOSSLPrivateKey(bytes: Array(key.serializeAsPEM().pemString.utf8), format: .pem))
    }
  }
}

/// A Host's key, which never leaves it, and the request that goes out.
public struct HostKey: Sendable {
  let key: Certificate.PrivateKey

  public init() { key = Certificate.PrivateKey(P256.Signing.PrivateKey()) }
  public init(privateKey: Secret) throws { key = try privateKey.withText { try .init(pemEncoded: $0) } }

  public var secret: Secret { get throws { Secret(try key.serializeAsPEM().pemString) } }

  public var signingRequest: String {
    get throws {
      let request = try CertificateSigningRequest(
        version: .v1, subject: try DistinguishedName { CommonName("AW host") }, privateKey: key,
        attributes: .init())
      return try request.serializeAsPEM().pemString
    }
  }

  public func identity(_ bundle: CertificateBundle) throws -> TLSIdentity {
    try TLSIdentity(certificatePEM: bundle.certificate, key: key)
  }
}

/// Reads who a certificate belongs to.
public enum CertificateIdentity {
  static let scheme = "aw://host/"

  static func uri(of host: HostID) -> String { scheme + host.text }

  public static func host(of certificate: Certificate) -> HostID? {
    guard let names = try? certificate.extensions.subjectAlternativeNames else { return nil }
    for case .uniformResourceIdentifier(let uri) in names where uri.hasPrefix(scheme) {
      return HostID(String(uri.dropFirst(scheme.count)))
    }
    return nil
  }

  /// What an authority of AW calls itself.
  public static let authorityName = "AW link authority"

  /// The common name of who signed a certificate, or else its organisation.
  static func issuer(of certificate: Certificate) -> String? {
    let parts = certificate.issuer.flatMap { $0 }
    let kinds: [ASN1ObjectIdentifier] = [.NameAttributes.commonName, .NameAttributes.organizationName]
    for kind in kinds {
      if let part = parts.first(where: { $0.type == kind }) { return "\(part.value)" }
    }
    return nil
  }

  /// The fingerprint of the authority that signed a certificate. All call themselves the same, so that only the
  /// signature tells.
  static func issuer(of certificate: Certificate, among authorities: [Certificate]) -> String? {
    authorities.first { $0.publicKey.isValidSignature(certificate.signature, for: certificate) }
      .flatMap { try? fingerprint(of: $0) }
  }

  public static func fingerprint(of certificate: Certificate) throws -> String {
    var serializer = DER.Serializer()
    try serializer.serialize(certificate)
    return SHA256.hex(serializer.serializedBytes)
  }
}
