import ArgumentParser

/// Brings load through a real link, for measurements and for the fault matrix. Not shipped.
@main
struct LinkLoad: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "link-load", abstract: "Load through the link, for tests and benchmarks.",
    subcommands: [ControlCommand.self, HostsCommand.self, SeedCommand.self, FleetCommand.self])
}
