import Basics
import Foundation
import Link

/// What a Host keeps on its disk: its key, its certificate, and how far its epochs have come.
///
/// `host.json` (0600) holds everything but the key; `host.key` (0600) holds the key. Both are replaced whole.
public struct HostState: Sendable {
  struct Document: Codable, Equatable {
    var host: HostID
    var slug: Slug
    var gatewayAddress: String
    var gatewayPort: Int
    var bundle: CertificateBundle
    var epoch: Int64
    /// Every AW Gateway of the fleet, as one of them told last.
    var gateways: [GatewayAddress]?
  }

  let directory: String
  var document: Document
  public let key: HostKey

  static func documentPath(_ directory: String) -> String { directory + "/host.json" }
  static func keyPath(_ directory: String) -> String { directory + "/host.key" }

  public static func exists(in directory: String) -> Bool {
    FileManager.default.fileExists(atPath: documentPath(directory))
  }

  public var host: HostID { document.host }
  public var slug: Slug { document.slug }
  /// The port of the AW Gateway that this Host dials.
  public var gatewayPort: Int { document.gatewayPort }

  /// - Throws: `enrolmentInvalid` when the files are missing or damaged.
  public static func load(from directory: String) throws -> HostState {
    do {
      let data = try Data(contentsOf: URL(filePath: documentPath(directory)))
      let key = try String(contentsOf: URL(filePath: keyPath(directory)), encoding: .utf8)
      return HostState(
        directory: directory, document: try JSONDecoder().decode(Document.self, from: data),
        key: try HostKey(privateKey: Secret(key)))
    } catch {
      throw AWError(
        .enrolmentInvalid, "The Host's identity in \(directory) cannot be read.",
        next: "Enrol this machine again with a new line from 'aw host enroll'.", cause: error)
    }
  }

  static func make(
    in directory: String, grant: EnrolmentGrant, key: HostKey, address: String, port: Int
  ) throws -> HostState {
    let document = Document(
      host: grant.host, slug: grant.slug, gatewayAddress: address, gatewayPort: port, bundle: grant.bundle, epoch: 0)
    let state = HostState(directory: directory, document: document, key: key)
    try key.secret.withBytes { try DurableFile.write($0, to: keyPath(directory)) }
    try state.save()
    return state
  }

  /// Takes the next epoch and makes it durable before it is used.
  mutating func nextEpoch(after known: Int64? = nil) throws -> Int64 {
    document.epoch = max(document.epoch, known ?? 0) + 1
    try save()
    return document.epoch
  }

  var trust: TrustReport { get throws { try TrustReport(of: document.bundle) } }

  /// Trusts what the AW Gateway says.
  ///
  /// - Returns: whether the certificate is from the authority that signs now; else a new one is to be asked for.
  mutating func adopt(_ order: TrustOrder) throws -> Bool {
    var bundle = document.bundle
    bundle.authorities = order.authorities
    // What cannot be read must not take the place of what can.
    let report = try TrustReport(of: bundle)
    if bundle != document.bundle { try adopt(bundle) }
    return report.issuer == order.signer
  }

  mutating func adopt(_ bundle: CertificateBundle) throws {
    document.bundle = bundle
    try save()
  }

  mutating func learn(_ gateways: [GatewayAddress]) throws {
    document.gateways = gateways
    try save()
  }

  private func save() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try DurableFile.write(Array(encoder.encode(document)), to: Self.documentPath(directory))
  }
}
