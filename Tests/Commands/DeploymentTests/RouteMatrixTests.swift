import Access
import Basics
import Evidence
import Foundation
import Store
import TestSupport
import Testing
import Web

@testable import Deployment

/// Every route of the running server against a committed list: a new one, or a changed permission, is seen in review.
@Suite("Who may do what over HTTP")
struct RouteMatrixTests {
  @Test("the table of routes is the committed one, whole")
  func matrix() async throws {
    try await TestFolder.with { folder in
      var settings = ControlPlaneSettings()
      settings.gateway = .init(address: "127.0.0.1", port: 0)
      let control = try await ControlPlane.open(
        try DataDirectory(folder), settings, logger: TestStores.logger)
      let lines = try control.server(publicURL: "http://127.0.0.1").table.routes.map(Self.line).sorted()
      await control.store.close()
      let committed = try #require(Bundle.module.url(forResource: "Routes", withExtension: "txt"))
      let text = lines.joined(separator: "\n") + "\n"
      if ProcessInfo.processInfo.environment["AW_UPDATE_GOLDEN"] == "1" {
        let source = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Routes.txt")
        try text.write(to: source, atomically: true, encoding: .utf8)
      }
      #expect(
        text == (try String(contentsOf: committed, encoding: .utf8)),
        "run with AW_UPDATE_GOLDEN=1, and look at the difference")
    }
  }

  private static func line(_ route: Route) -> String {
    let who: String =
      switch route.allowed {
      case .anyone: "anyone"
      case .signedIn: "signed in"
      case .permission(let permission): permission.rawValue
      }
    let what: String =
      switch route.effect {
      case .reads: "reads"
      case .writes(let kind): "leaves \(kind)"
      case .writesUnrecorded: "writes, unrecorded"
      }
    return "\(route.path) \(route.method.rawValue): \(who), \(what)"
  }
}
