import AsyncHTTPClient
import Basics
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL

/// HTTP to vaults: no redirects, one way to trust, one deadline.
enum VaultClient {
  /// It lives as long as the control plane.
  static func make(_ name: String, caFile: String?) throws -> HTTPClient {
    var tls = TLSConfiguration.makeClientConfiguration()
    if let file = caFile {
      guard let certificates = try? NIOSSLCertificate.fromPEMFile(file), !certificates.isEmpty else {
        throw VaultSettings.wrong("the vault \(name.quoted) names \(file.quoted), no certificates in PEM form")
      }
      tls.trustRoots = .certificates(certificates)
    }
    var configuration = HTTPClient.Configuration(tlsConfiguration: tls, redirectConfiguration: .disallow)
    configuration.httpVersion = .http1Only
    configuration.timeout.connect = .seconds(2)
    configuration.connectionPool.retryConnectionEstablishment = false
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  /// - Throws: `vaultUnreachable`. An answer that is no JSON has no body.
  static func ask(
    _ name: String, _ client: HTTPClient, _ request: HTTPClientRequest
  ) async throws -> (status: Int, body: JSONValue?) {
    do {
      let answer = try await Deadline.run(CredentialLimits.vaultWithin) {
        let response = try await client.execute(request, timeout: .seconds(30))
        let bytes = try await response.body.collect(upTo: CredentialLimits.answerBytesMax)
        return (Int(response.status.code), Array(bytes.readableBytesView))
      }
      guard let (status, bytes) = answer else {
        throw VaultFailure.unreachable(name, "no answer within \(CredentialLimits.vaultWithin.words)")
      }
      return (status, try? JSONValue(parsing: bytes))
    } catch let error as AWError {
      throw error
    } catch {
      throw VaultFailure.unreachable(name, "the connection failed", cause: error)
    }
  }
}
