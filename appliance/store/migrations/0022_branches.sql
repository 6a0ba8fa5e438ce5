-- Pipelines of a branch, and the branches of a project, without a look at all its pipelines.
CREATE INDEX pipelines_by_branch ON pipelines (project, branch, number);
