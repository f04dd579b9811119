import { useInfiniteQuery } from "@tanstack/react-query";
import { explain } from "#api/error.ts";
import { auditQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { Command } from "#ui/command.tsx";
import { PageHeader, PageLayout } from "#ui/page.tsx";
import { EmptyState, ErrorState, SkeletonRows } from "#ui/states.tsx";
import { Time } from "#ui/time.tsx";
import { describeCaller, describeEvent } from "./describe.ts";

export function ActivityPage() {
	const events = useInfiniteQuery(auditQuery);
	const list = events.data?.pages.flatMap((page) => page.events);
	return (
		<PageLayout>
			<PageHeader
				title="Activity"
				description="Who did what with your account, newest first. Kept for 400 days."
			/>
			{list === undefined ? (
				events.isError ? (
					<ErrorState
						title="The activity could not be loaded"
						message={explain(events.error)}
						onRetry={() => void events.refetch()}
						retrying={events.isFetching}
					/>
				) : (
					<SkeletonRows rows={6} />
				)
			) : list.length === 0 ? (
				<EmptyState title="Nothing has happened yet">
					<Command text="leger secrets list" />
				</EmptyState>
			) : (
				<>
					<ol className="divide-y divide-line">
						{list.map((event) => (
							<li key={event.id} className="flex flex-wrap items-baseline justify-between gap-x-6 py-2.5">
								<div className="min-w-0">
									<p className="break-words">
										{describeEvent(event)}
										{event.version !== undefined && (
											<span className="text-muted">
												{" "}
												· <span className="whitespace-nowrap">version {event.version}</span>
											</span>
										)}
									</p>
									<p className="text-sm break-words text-muted">{describeCaller(event)}</p>
								</div>
								<span className="text-sm text-muted">
									<Time at={event.at} />
								</span>
							</li>
						))}
					</ol>
					{events.hasNextPage && (
						<div className="flex flex-wrap items-center justify-center gap-3 pt-4">
							<Button busy={events.isFetchingNextPage} onClick={() => void events.fetchNextPage()}>
								Show older
							</Button>
							{events.isFetchNextPageError && (
								<p role="alert" className="text-sm text-danger">
									{explain(events.error)}
								</p>
							)}
						</div>
					)}
				</>
			)}
		</PageLayout>
	);
}
