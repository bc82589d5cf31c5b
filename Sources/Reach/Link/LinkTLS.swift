import Basics
import Foundation
import NIOCore
import NIOSSL
import SwiftASN1
import Synchronization
@_spi(FixedExpiryValidationTime) import X509

/// Builds the TLS of both ends. Verification is ours, because BoringSSL's answer does not say *why*.
public enum LinkTLS {
  /// Whom to believe, our own verification decides. The library would else read the machine's whole trust store for
  /// each context: tens of milliseconds and a mebibyte for every dial, and its names in every handshake.
  private static let noRoots = NIOSSLTrustRoots.certificates([])

  /// The AW Gateway's side: takes links with a certificate and enrolments without one.
  public static func gateway(
    identity: TLSIdentity, authorities: Authorities, now: @escaping @Sendable () -> Timestamp
  ) throws -> GatewayTLS {
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: try identity.chain, privateKey: try identity.privateKey)
    configuration.minimumTLSVersion = .tlsv13
    configuration.shutdownTimeout = LinkLimits.tlsShutdownTimeout
    configuration.applicationProtocols = [LinkProtocol.link, LinkProtocol.enrolment]
    configuration.trustRoots = noRoots
    // A certificate is demanded from links only, once the protocol is known: an enrolling machine has none yet.
    configuration.certificateVerification = .optionalVerification
    return GatewayTLS(
      context: try NIOSSLContext(configuration: configuration), authorities: authorities.certificates, now: now)
  }

  /// The Connector's side.
  ///
  /// - Parameter identity: nil while enrolling.
  public static func connector(
    identity: TLSIdentity?, trust: LinkTrust, now: @escaping @Sendable () -> Timestamp
  ) throws -> ConnectorTLS {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.minimumTLSVersion = .tlsv13
    configuration.shutdownTimeout = LinkLimits.tlsShutdownTimeout
    configuration.certificateVerification = .noHostnameVerification
    configuration.trustRoots = noRoots
    configuration.applicationProtocols = [identity == nil ? LinkProtocol.enrolment : LinkProtocol.link]
    if let identity {
      configuration.certificateChain = try identity.chain
      configuration.privateKey = try identity.privateKey
    }
    return ConnectorTLS(context: try NIOSSLContext(configuration: configuration), trust: trust, now: now)
  }
}

/// What a Connector accepts as its AW Gateway.
public enum LinkTrust: Sendable {
  /// The authorities learnt at enrolment or renewal.
  case authorities([Certificate])
  /// While enrolling: only the authority with this fingerprint (SHA-256, hexadecimal).
  case fingerprint(String)
}

public struct GatewayTLS: Sendable {
  let context: NIOSSLContext
  let authorities: [Certificate]
  let now: @Sendable () -> Timestamp

  public func handler() -> NIOSSLServerHandler {
    NIOSSLServerHandler(
      context: context,
      customVerificationCallbackWithMetadata: { presented, promise in
        promise.completeWithTask {
          let verdict = await ChainVerdict.of(
            try presented.map { try Certificate($0) }, authorities: authorities, usage: .clientAuth, name: nil,
            at: now())
          guard case .trusted(let chain) = verdict else { return .failed }
          let validated = try chain.map { try NIOSSLCertificate($0) }
          return .certificateVerified(VerificationMetadata(ValidatedCertificateChain(validated)))
        }
      })
  }
}

public struct ConnectorTLS: Sendable {
  let context: NIOSSLContext
  let trust: LinkTrust
  let now: @Sendable () -> Timestamp

  /// A handler that leaves the reason of a refusal in `reason`, to be read after the handshake failed.
  public func handler(reportingTo reason: RefusalReason) throws -> NIOSSLClientHandler {
    try NIOSSLClientHandler(
      context: context, serverHostname: LinkProtocol.gatewayName,
      customVerificationCallback: { presented, promise in
        promise.completeWithTask {
          let chain = try presented.map { try Certificate($0) }
          let verdict = await verdict(on: chain)
          guard case .trusted = verdict else {
            reason.set(verdict)
            return .failed
          }
          return .certificateVerified
        }
      })
  }

  private func verdict(on chain: [Certificate]) async -> ChainVerdict {
    switch trust {
    case .authorities(let authorities):
      return await ChainVerdict.of(
        chain, authorities: authorities, usage: .serverAuth, name: LinkProtocol.gatewayName, at: now())
    case .fingerprint(let pinned):
      let pinnedOnes = chain.filter { (try? CertificateIdentity.fingerprint(of: $0)) == pinned }
      return await ChainVerdict.of(
        chain, authorities: pinnedOnes, usage: .serverAuth, name: LinkProtocol.gatewayName, at: now())
    }
  }
}

/// Carries the verdict from the verification callback to whoever dialled.
public final class RefusalReason: Sendable {
  private let state = Mutex<ChainVerdict?>(nil)

  public init() {}

  func set(_ verdict: ChainVerdict) { state.withLock { $0 = verdict } }

  public var verdict: ChainVerdict? { state.withLock { $0 } }
}

/// What a certificate chain proved.
public enum ChainVerdict: Sendable, Equatable {
  case trusted([Certificate])
  /// Signed by an authority that we do not trust.
  ///
  /// - Parameter issuer: what that authority calls itself; nil when nothing was shown.
  case foreign(issuer: String?)
  /// Ours, but our clock says it is not valid yet.
  case notYetValid(from: Timestamp)
  case expired(at: Timestamp)
  case wrongUse(String)

  /// Judges a chain. Validity is told apart from trust by checking trust at a time inside the validity first.
  static func of(
    _ chain: [Certificate], authorities: [Certificate], usage: ExtendedKeyUsage.Usage, name: String?, at now: Timestamp
  ) async -> ChainVerdict {
    guard let leaf = chain.first, let last = chain.last, !authorities.isEmpty else {
      return .foreign(issuer: chain.last.flatMap { CertificateIdentity.issuer(of: $0) })
    }
    let inside = leaf.notValidBefore.addingTimeInterval(
      leaf.notValidAfter.timeIntervalSince(leaf.notValidBefore) / 2)
    var verifier = Verifier(rootCertificates: CertificateStore(authorities)) {
      RFC5280Policy(fixedExpiryValidationTime: inside)
      UsePolicy(usage: usage, name: name)
    }
    let result = await verifier.validate(leaf: leaf, intermediates: CertificateStore(chain.dropFirst()))
    switch result {
    case .couldNotValidate(let failures):
      let reasons = failures.map { "\($0.policyFailureReason)" }.filter { $0.hasPrefix(UsePolicy.marker) }
      return reasons.first.map { .wrongUse(String($0.dropFirst(UsePolicy.marker.count))) }
        ?? .foreign(issuer: CertificateIdentity.issuer(of: last))
    case .validCertificate(let validated):
      if now < Timestamp(leaf.notValidBefore) { return .notYetValid(from: Timestamp(leaf.notValidBefore)) }
      if now > Timestamp(leaf.notValidAfter) { return .expired(at: Timestamp(leaf.notValidAfter)) }
      return .trusted(Array(validated))
    }
  }
}

/// The rules that RFC 5280 leaves to the application: what the certificate may be used for, and its name.
private struct UsePolicy: VerifierPolicy {
  static let marker = "aw:"
  let verifyingCriticalExtensions: [ASN1ObjectIdentifier] = []
  let usage: ExtendedKeyUsage.Usage
  let name: String?

  func chainMeetsPolicyRequirements(chain: UnverifiedCertificateChain) -> PolicyEvaluationResult {
    let leaf = chain.leaf
    guard let usages = try? leaf.extensions.extendedKeyUsage, usages.contains(usage) else {
      return .failsToMeetPolicy(reason: Self.marker + "the certificate is meant for another use")
    }
    guard let name else {
      return CertificateIdentity.host(of: leaf) == nil
        ? .failsToMeetPolicy(reason: Self.marker + "the certificate names no Host") : .meetsPolicy
    }
    let names = (try? leaf.extensions.subjectAlternativeNames).map { Array($0) } ?? []
    return names.contains(.dnsName(name))
      ? .meetsPolicy : .failsToMeetPolicy(reason: Self.marker + "the certificate carries another name")
  }
}

extension NIOSSLCertificate {
  /// swift-certificates and NIOSSL share no type, so DER is the bridge.
  convenience init(_ certificate: Certificate) throws {
    var serializer = DER.Serializer()
    try serializer.serialize(certificate)
    try self.init(bytes: serializer.serializedBytes, format: .der)
  }
}

extension Certificate {
  public init(_ certificate: NIOSSLCertificate) throws { try self.init(derEncoded: try certificate.toDERBytes()) }
}
