import Crypto
import Foundation
import SwiftASN1
import X509

/// A certificate for a test's server, signed by an authority of the test's own.
public struct TestAuthority: Sendable {
  public let authorityPEM: String
  public let certificatePEM: String
  public let keyPEM: String

  public init(names: [String], expired: Bool = false) throws {
    let now = Date()
    let authorityKey = Certificate.PrivateKey(P256.Signing.PrivateKey())
    let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
    let authorityName = try DistinguishedName { CommonName("test authority") }
    let authority = try Certificate(
      version: .v3, serialNumber: .init(), publicKey: authorityKey.publicKey,
      notValidBefore: now.addingTimeInterval(-86_400), notValidAfter: now.addingTimeInterval(86_400),
      issuer: authorityName, subject: authorityName,
      extensions: try Certificate.Extensions {
        Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
        Critical(KeyUsage(keyCertSign: true))
      }, issuerPrivateKey: authorityKey)
    let certificate = try Certificate(
      version: .v3, serialNumber: .init(), publicKey: key.publicKey,
      notValidBefore: now.addingTimeInterval(-7_200), notValidAfter: now.addingTimeInterval(expired ? -3_600 : 3_600),
      issuer: authorityName, subject: try DistinguishedName { CommonName(names[0]) },
      extensions: try Certificate.Extensions {
        Critical(BasicConstraints.notCertificateAuthority)
        Critical(KeyUsage(digitalSignature: true))
        try ExtendedKeyUsage([.serverAuth])
        SubjectAlternativeNames(names.map { .dnsName($0) })
      }, issuerPrivateKey: authorityKey)
    authorityPEM = try authority.serializeAsPEM().pemString
    certificatePEM = try certificate.serializeAsPEM().pemString
    keyPEM = try key.serializeAsPEM().pemString
  }
}
