import Basics
import Crypto
import Foundation

/// The files of the console that browsers load, and the templates of its pages. Read once, at start.
///
/// An asset's URL holds its hash, so browsers may keep it for ever and still see a new one at once.
public struct AssetFiles: Sendable {
  struct Asset: Sendable {
    let bytes: [UInt8]
    let type: String
    /// The first 16 hexadecimal digits of its SHA-256.
    let hash: String
  }

  let assets: [String: Asset]
  /// By name, without the extension `.mustache`.
  let templates: [String: String]

  /// Reads the folder that is installed beside the program.
  ///
  /// - Parameter folder: another place for it.
  /// - Throws: `internalFailure` when it is not there or not complete.
  public static func load(from folder: String? = nil) throws -> AssetFiles {
    let candidates = folder.map { [$0] } ?? installed
    guard let found = candidates.first(where: { FileManager.default.fileExists(atPath: $0 + "/aw.css") }) else {
      throw AWError(
        .internalFailure, "The files of the console are not where the program is.",
        next: "Install the folder \(bundle.quoted) beside the program, as it is in the release archive.")
    }
    return try AssetFiles(folder: found)
  }

  private static let bundle = "aw_Web.resources"

  /// Beside the program, wherever a link to it may be; `Bundle.module` would end the process when it finds nothing.
  private static var installed: [String] {
    let bundle = "/" + AssetFiles.bundle + "/Assets"
    let program = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path
    return [Bundle.main.bundleURL.path + bundle, program + bundle, program + "/../share/aw" + bundle]
  }

  private init(folder: String) throws {
    var assets: [String: Asset] = [:]
    var templates: [String: String] = [:]
    do {
      for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
        guard let type = AssetFiles.type(of: name) else { continue }
        let bytes = Array(try Data(contentsOf: URL(filePath: folder + "/" + name)))
        assets[name] = Asset(bytes: bytes, type: type, hash: String(SHA256.hex(bytes).prefix(16)))
      }
      for name in try FileManager.default.contentsOfDirectory(atPath: folder + "/templates") {
        guard name.hasSuffix(".mustache") else { continue }
        let text = try String(contentsOf: URL(filePath: folder + "/templates/" + name), encoding: .utf8)
        templates[String(name.dropLast(".mustache".count))] = text
      }
    } catch {
      throw AWError(
        .internalFailure, "The files of the console in \(folder.quoted) cannot be read.",
        next: "Check that the folder belongs to the user that runs AW, or install it again.", cause: error)
    }
    self.assets = assets
    self.templates = templates
  }

  private static func type(of name: String) -> String? {
    switch name.split(separator: ".").last {
    case "css": "text/css; charset=utf-8"
    case "js": "text/javascript; charset=utf-8"
    case "svg": "image/svg+xml"
    default: nil
    }
  }

  /// The path of an asset in a URL.
  func path(_ name: String) -> String { "/assets/\(assets[name]?.hash ?? "missing")/\(name)" }
}
