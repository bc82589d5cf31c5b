import Foundation
import Link
import Testing

/// Namespaces need root; where that is missing the tests are skipped, except where nothing may be left out.
enum Namespaces {
  static var arePossible: Bool { geteuid() == 0 || ProcessInfo.processInfo.environment["AW_TEST_REQUIRE_ALL"] == "1" }
}

/// Real processes on two machines that are network namespaces, and everything that goes wrong between them.
///
/// The core runs with the other tests. `script/test --faults` runs all of it, which takes more than an hour.
@Suite("The fault matrix", .serialized, .enabled(if: Namespaces.arePossible))
struct FaultMatrixTests {
  static var isWhole: Bool { ProcessInfo.processInfo.environment["AW_FAULTS"] == "all" }

  /// Each way of being lost once, and the fault that hides best under each load.
  static let core =
    [
      Fault.dropBoth, .dropToControl, .reset, .refuse, .stopConnector, .killConnector, .killControl, .drain,
      .unknownAuthority, .onePercent,
    ].map { Cell(fault: $0, load: .idle) }
    + [
      Cell(fault: .dropBoth, load: .echo), Cell(fault: .dropToHost, load: .bulk),
      Cell(fault: .dropBoth, load: .streams), Cell(fault: .streamResets, load: .echo),
    ]

  static let all = Fault.allCases.flatMap { fault in Load.allCases.map { Cell(fault: fault, load: $0) } }

  /// The cells that `AW_FAULTS` names, such as `reset/idle,drain/bulk`; else the core or all.
  static var wanted: [Cell] {
    guard let names = ProcessInfo.processInfo.environment["AW_FAULTS"], names != "all" else {
      return isWhole ? all : core
    }
    let words = Set(names.split(separator: ",").map(String.init))
    return all.filter { words.contains("\($0.fault)/\($0.load)") || words.contains("\($0.fault)") }
  }

  @Test("verdict and class of loss are right in 95 % of the cells, and nothing is called unreachable falsely")
  func matrix() async throws {
    let cells = Self.wanted
    try #require(!cells.isEmpty, "AW_FAULTS names no cell")
    let matrix = await Matrix.run(cells)
    try matrix.publish()
    #expect(matrix.rightShare >= Matrix.rightShareMin, "\(matrix.report)")
    for result in matrix.results {
      #expect(!result.falselyUnreachable, "\(result.line)")
      for loss in result.losses { Replay.expectSame(loss) }
    }
  }
}
