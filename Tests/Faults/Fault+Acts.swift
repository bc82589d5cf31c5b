import Basics
import Client
import Foundation
import NIOCore
import NIOPosix
import SwiftASN1
import Vault
import X509

@testable import Link

extension Fault {
  private static let dials = "-p tcp --dport \(Site.gatewayPort)"

  /// Brings the fault about.
  func inject(into site: Site) async throws {
    switch self {
    case .dropBoth:
      try await site.inHost("iptables -A INPUT -i h0 -j DROP")
      try await site.inHost("iptables -A OUTPUT -o h0 -j DROP")
    case .dropToControl: try await site.inHost("iptables -A OUTPUT -o h0 -j DROP")
    case .dropToHost: try await site.inHost("iptables -A INPUT -i h0 -j DROP")
    case .reset: try await Self.breakConnections(of: site)
    case .refuse:
      try await site.inControl("iptables -A INPUT -i c0 \(Self.dials) -j REJECT --reject-with tcp-reset")
      try await Self.breakConnections(of: site)
    // On the way, as a router does: a kernel that drops what it sends itself keeps its acknowledgements, too.
    case .largeLost: try await site.inControl("iptables -A INPUT -i c0 -m length --length 1000: -j DROP")
    case .onePercent:
      for inside in [site.inHost, site.inControl] {
        try await inside("iptables -A INPUT -p tcp -m statistic --mode random --probability 0.01 -j DROP")
      }
    case .slowWire:
      try await site.inHost("tc qdisc add dev h0 root tbf rate 1mbit burst 16kb latency 400ms")
      try await site.inControl("tc qdisc add dev c0 root tbf rate 1mbit burst 16kb latency 400ms")
    case .stopConnector: await site.connector.signal(SIGSTOP)
    case .stopControl: await site.controlPlane.signal(SIGSTOP)
    case .killConnector: try await site.connector.end(SIGKILL)
    case .killControl: try await site.controlPlane.end(SIGKILL)
    case .wireDown: try await site.inHost("ip link set h0 down")
    case .nameGone:
      try "".write(toFile: site.hostsFile, atomically: false, encoding: .utf8)
      try await Self.breakConnections(of: site)
    case .expired, .unknownAuthority, .otherProtocol, .clockAhead: try await restart(site)
    case .revoked:
      _ = try await site.client.send(
        .delete, "/hosts/host-1", query: [("force", "true"), ("confirm", "host-1")])
    case .slowReader: try await SlowReader.begin(site)
    case .streamResets: try await Self.resetStreams(of: site)
    case .drain: try await site.controlPlane.end(SIGTERM)
    }
  }

  /// Takes it away again.
  func heal(_ site: Site) async throws {
    switch self {
    case .dropBoth, .dropToControl, .dropToHost, .refuse, .largeLost, .onePercent:
      try await site.inHost("iptables -F")
      try await site.inControl("iptables -F")
    case .slowWire:
      try await site.inHost("tc qdisc del dev h0 root")
      try await site.inControl("tc qdisc del dev c0 root")
    case .stopConnector: await site.connector.signal(SIGCONT)
    case .stopControl: await site.controlPlane.signal(SIGCONT)
    case .killConnector: try await site.startConnector()
    case .killControl, .drain: try await site.startControlPlane()
    case .wireDown: try await site.inHost("ip link set h0 up")
    case .nameGone:
      try "\(Site.controlAddress) \(Site.gatewayName)\n"
        .write(toFile: site.hostsFile, atomically: false, encoding: .utf8)
    case .expired, .unknownAuthority, .otherProtocol:
      try await site.connector.end(SIGKILL)
      try FileManager.default.removeItem(atPath: site.hostFile)
      try FileManager.default.copyItem(atPath: site.hostFile + ".kept", toPath: site.hostFile)
      try await site.startConnector()
    case .clockAhead:
      try await site.connector.end(SIGKILL)
      try await site.startConnector()
    case .reset, .revoked, .slowReader, .streamResets: break
    }
  }

  /// Ends the sockets at both ends, as a box in between does.
  private static func breakConnections(of site: Site) async throws {
    let ends = "( sport = :\(Site.gatewayPort) or dport = :\(Site.gatewayPort) )"
    for namespace in [site.host, site.control] {
      // It prints an error of the kernel's for the sockets that are no TCP, and ends the others.
      try await Shell.run("ip netns exec \(namespace) ss -K state established \(ends)")
    }
  }

  /// Starts the Connector again, with something about it that is wrong.
  private func restart(_ site: Site) async throws {
    let authority = try await Self.authority(of: site)
    try await site.connector.end(SIGKILL)
    if self == .clockAhead {
      let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
      return try await site.startConnector(
        environment: ["LD_PRELOAD": library, "FAKETIME": "+3600s", "DONT_FAKE_MONOTONIC": "1"])
    }
    let text = try Data(contentsOf: URL(filePath: site.hostFile))
    try text.write(to: URL(filePath: site.hostFile + ".kept"))
    var document = try JSONDecoder().decode(HostFile.self, from: text)
    let now = Timestamp(.now)
    switch self {
    case .expired:
      let key = try HostKey(
        privateKey: Secret(try String(contentsOfFile: site.folder + "/host/host.key", encoding: .utf8)))
      document.bundle = try authority.signHost(
        document.host, request: try key.signingRequest, at: now.advanced(by: .seconds(-48 * 3_600)))
      // The Connector would ask for its next certificate by itself if it believed this one to end soon.
      document.bundle.notAfter = now.advanced(by: .seconds(20 * 3_600))
    case .unknownAuthority:
      document.bundle.authorities = [try Authority.make(at: now).authority.certificatePEM]
    default:
      document.gatewayPort = try await Self.serveOtherProtocol(authority, site, at: now)
    }
    try JSONEncoder().encode(document).write(to: URL(filePath: site.hostFile))
    try await site.startConnector()
  }

  /// A TLS server that has the AW Gateway's own certificate and speaks something else.
  private static func serveOtherProtocol(_ authority: Authority, _ site: Site, at now: Timestamp) async throws -> Int {
    let identity = try authority.gatewayIdentity(at: now)
    let path = site.folder + "/other.pem"
    let pem = try identity.certificatePEM + "\n" + identity.key.serializeAsPEM().pemString + "\n"
    try pem.write(toFile: path, atomically: true, encoding: .utf8)
    let port = 7_421
    let words = ["openssl", "s_server", "-accept", "\(port)", "-cert", path, "-key", path, "-alpn", "h2", "-quiet"]
    _ = try await Spawned(in: site.control, words, log: site.folder + "/other.log")
    return port
  }

  private static func authority(of site: Site) async throws -> Authority {
    let data = site.folder + "/control"
    let vault = try Vault.open(file: data + "/vault", key: .fromFile(data + "/vault.key"))
    return try await vault.get(try SecretReference("link/authority")).withText { text in
      let parts = text.components(separatedBy: "-----AW-----\n")
      return try Authority(certificatePEM: parts[0], privateKey: Secret(parts[1]))
    }
  }

  private static func resetStreams(of site: Site) async throws {
    for _ in 0..<300 {
      let connection = try await ForwardedConnection.open(site)
      try await connection.channel.writeAndFlush(ByteBuffer(string: "GET /healthz HTTP/1.1\r\n")).get()
      try await connection.channel.close().get()
      try await Pace.wait(.milliseconds(30))
    }
  }

  /// `host.json` as the Connector keeps it.
  private struct HostFile: Codable {
    var host: HostID
    var slug: Slug
    var gatewayAddress: String
    var gatewayPort: Int
    var bundle: CertificateBundle
    var epoch: Int64
  }
}

/// Clients that ask for much and read nothing.
enum SlowReader {
  static func begin(_ site: Site) async throws {
    let ask = "GET /healthz HTTP/1.1\r\nHost: instance\r\n\r\n"
    for _ in 0..<4 {
      let connection = try await ForwardedConnection.open(site, reads: false)
      connection.channel.writeAndFlush(
        ByteBuffer(string: String(repeating: ask, count: 20_000)), promise: nil)
    }
  }
}
