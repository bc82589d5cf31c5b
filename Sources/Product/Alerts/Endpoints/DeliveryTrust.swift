import Basics
import NIOSSL

/// Whom a delivery trusts as its receiver.
enum DeliveryTrust {
  /// The TLS of a client. Roots are the machine's own, or the authority that the endpoint names (`ca`, PEM).
  ///
  /// - Throws: `endpointInvalid` when the authority cannot be read.
  static func configuration(_ authority: String?) throws(AWError) -> TLSConfiguration {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.minimumTLSVersion = .tlsv12
    guard let authority else { return configuration }
    do {
      let certificates = try NIOSSLCertificate.fromPEMBytes(Array(authority.utf8))
      guard !certificates.isEmpty else { throw NIOSSLError.failedToLoadCertificate }
      configuration.trustRoots = .certificates(certificates)
    } catch {
      throw AWError(
        .endpointInvalid, "'ca' holds no certificate in PEM form.",
        next: "Put the certificate of the receiver's own authority there, or leave 'ca' out.", cause: error)
    }
    return configuration
  }

  /// What is wrong with the TLS of a receiver; nil when the failure is none of TLS.
  static func words(_ error: any Error) -> String? {
    switch error {
    case let error as NIOSSLExtraError where error == .failedToValidateHostname:
      return "TLS: the certificate is for another name"
    case is NIOSSLExtraError: return "TLS: the certificate cannot be checked against the name"
    case NIOSSLError.handshakeFailed(let reason):
      let text = "\(reason)"
      if text.contains("CERTIFICATE_VERIFY_FAILED") { return "TLS: the certificate is not trusted" }
      if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") {
        return "TLS: the receiver does not speak TLS here"
      }
      return "TLS: the handshake failed"
    case NIOSSLError.unableToValidateCertificate, NIOSSLError.noCertificateToValidate:
      return "TLS: the certificate is not trusted"
    case is NIOSSLError, is BoringSSLError: return "TLS: the connection broke"
    default: return nil
    }
  }
}
