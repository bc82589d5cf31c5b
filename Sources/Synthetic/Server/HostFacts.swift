import Foundation
import NIOCore

/// What the Gateway says about the machine it runs on.
enum HostFacts {
  static let platform: String = {
    let (name, release, _) = system
    return "\(name.lowercased()) \(release)"
  }()

  /// The machine as Node.js names it.
  static let machine: String = {
    switch system.machine {
    case "x86_64": "x64"
    case "aarch64": "arm64"
    case let other: other
    }
  }()

  /// The first address that others could use; loopback when there is none.
  static let address: String = {
    let devices = (try? System.enumerateDevices()) ?? []
    let addresses = devices.compactMap(\.address).filter { $0.protocol == .inet }.compactMap(\.ipAddress)
    return addresses.first { !$0.hasPrefix("127.") } ?? "127.0.0.1"
  }()

  private static let system: (name: String, release: String, machine: String) = {
    var facts = utsname()
    guard uname(&facts) == 0 else { return ("linux", "unknown", "unknown") }
    func text<Bytes>(_ bytes: Bytes) -> String {
      withUnsafeBytes(of: bytes) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    return (text(facts.sysname), text(facts.release), text(facts.machine))
  }()
}
