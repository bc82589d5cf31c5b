import Basics
import Foundation

/// What one cloudflared is to serve, and the file that tells it so: values in, text out.
struct TunnelPlan: Codable, Sendable, Equatable {
  let hostname: String
  /// Of the Instance, on this Host's loopback.
  let port: Int
  /// The id of the named tunnel.
  let tunnel: String

  /// - Parameter credentials: the JSON that `cloudflared tunnel create` writes.
  /// - Throws: `pathInvalid` for what cloudflared would not take. Nothing of the credentials is in the message.
  init(hostname: String, port: Int, credentials: Secret) throws(AWError) {
    let isName = hostname.utf8.allSatisfy {
      (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || "-.".utf8.contains($0)
    }
    guard isName, !hostname.isEmpty, hostname.utf8.count <= 253 else {
      throw TunnelPlan.invalid("The hostname \(hostname.quoted) is none.")
    }
    let json = credentials.withBytes { try? JSONValue(parsing: $0) }
    guard let json, let id = json["TunnelID"]?.stringValue, UUID(uuidString: id) != nil,
      ["AccountTag", "TunnelSecret"].allSatisfy({ json[$0]?.stringValue?.isEmpty == false })
    else {
      throw TunnelPlan.invalid(
        "The tunnel's credentials are not the JSON with AccountTag, TunnelID and TunnelSecret that cloudflared writes.")
    }
    self.hostname = hostname
    self.port = port
    tunnel = id.lowercased()
  }

  private static func invalid(_ what: String) -> AWError {
    AWError(
      .pathInvalid, what, next: "Give the file that 'cloudflared tunnel create NAME' wrote; see docs/paths.md.")
  }

  /// `config.yml` of cloudflared. Text in it is quoted as JSON, which is YAML.
  func configuration(credentialsFile: String) -> String {
    func quoted(_ text: String) -> String { JSONValue.string(text).canonical }
    return """
      # Written by AW's Connector: changes are overwritten.
      tunnel: \(quoted(tunnel))
      credentials-file: \(quoted(credentialsFile))
      no-autoupdate: true
      ingress:
        - hostname: \(quoted(hostname))
          service: \(quoted("http://127.0.0.1:\(port)"))
        - service: "http_status:404"

      """
  }

  /// What cloudflared is called with: no secret is among it.
  static func arguments(program: String, configurationFile: String) -> [String] {
    // The end of the Connector is the end of cloudflared, however it ends.
    [
      "--pdeathsig", "TERM", "--", program, "tunnel", "--config", configurationFile, "--no-autoupdate", "run",
    ]
  }
}
